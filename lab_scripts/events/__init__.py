"""Every event of the lab: the catalogue of classes, their JSON forms, and how a line becomes its object again."""
