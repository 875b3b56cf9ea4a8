"""ProSe direct discovery over PC5: messages, codec, MIC and the entity that announces, monitors, asks and answers."""
