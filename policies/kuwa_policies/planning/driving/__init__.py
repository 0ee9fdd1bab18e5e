"""Driving on tracks: where the machine is, how it turns, and chunks that bring it along a path."""
