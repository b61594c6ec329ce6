"""Studies that come with the suite, a YAML file each."""
