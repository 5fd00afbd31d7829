"""What comes in and goes out: requests, answers, events, and the envelopes that verification keeps."""
