"""People choose between two pictures, blind: which pairs are asked, the page they are asked on, and how no vote is lost or counted twice.

`ballots` says which pairs, in which order and on which side; `box` keeps what is answered; `page` is what a person sees; `server` serves it
to this machine alone. What the votes mean for the verdict is worked out by `compare.votes`.
"""
