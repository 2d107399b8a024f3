"""Which trials go on and which are stopped early: decided without Ray, kept on disk, told to Ray Tune."""
