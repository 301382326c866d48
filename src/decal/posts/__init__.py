"""From a table of posts to prompts and a data set.

A table of 300,000 posts is worked on in shards of 2,000 rows, so that each stage may be stopped, gone on with and shared between processes:
`tables` and `reading` give Posts, `sides` says which of them may be trained on, `writers` turn each into a PromptPlan, `downloads` get the
pictures, and `imagefolders` put pictures and captions into the project. A post comes from a stranger: whatever stands in it can change
nothing but the picture of that post.
"""
