"""Whether a file is as exact as its model: compared on what, by which criterion, and where it leaves it."""
