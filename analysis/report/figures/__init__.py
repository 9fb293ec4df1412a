"""Every figure of a report, and the one look they share."""
