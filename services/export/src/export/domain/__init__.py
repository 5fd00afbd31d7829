"""What a submission is and when it may change: pure, without storage or clock."""
