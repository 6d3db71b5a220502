"""`adaptact doctor`: what is installed, what is missing, and what works on this machine."""
