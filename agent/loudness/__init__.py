"""What is measured on the decoded samples while they are recorded. Pure."""
