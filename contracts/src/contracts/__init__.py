"""The published language of the MRM: events, envelope layout, vocabulary, topics."""
