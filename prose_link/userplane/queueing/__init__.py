"""The queues of a link's user data: by priority, by flow, and never long."""
