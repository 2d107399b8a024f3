"""A search's folder: what lies where in it, who may write there, and how its files outlive kills and full disks."""
