"""``kuwa data``: looks at data sets, checks, replays, changes, converts and uploads them."""
