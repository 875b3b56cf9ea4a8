"""All events of the lab: the catalogue of classes, their JSON forms, and the reader of lines."""
