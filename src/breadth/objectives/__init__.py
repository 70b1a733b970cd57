"""Named methods: one paper, one short file, each an explicit ordered list of pieces from the rooms below."""
