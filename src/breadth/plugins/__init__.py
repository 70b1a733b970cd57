"""Our pieces inside other people's trainers: name translation and thin subclasses, nothing else."""
