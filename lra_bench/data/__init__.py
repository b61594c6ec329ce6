"""Raw data in, packed tokens out: sources, the token store on disk, batches on the device."""
