"""Where predictions run. Each module here is one backend; they know nothing of each other."""
