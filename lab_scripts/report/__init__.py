"""The report after a run: a page with the message ladder, a waterfall and a constellation."""
