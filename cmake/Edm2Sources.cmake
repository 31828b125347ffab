# Rooms of the library in order of dependency: a file may include headers of its own room and of rooms
# to the left. tools/check_includes.py enforces it.
set(EDM2_ROOMS core io plot nn engine diffusion ema data generate metrics train toy analysis)
