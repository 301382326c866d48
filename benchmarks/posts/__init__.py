"""What posts cost and what prompts are worth: import and plan of large tables, hostile rows, and whether pictures show what posts say."""
