"""Reports of the service's own jobs, for people who read them tomorrow and can't click: HTML and PDF."""
