"""The message bus: agents' inboxes, topics and history, behind one stream an agent."""
