"""Many searches from one file (tasks x methods x backbones x seeds), one after another on one set of engines."""
