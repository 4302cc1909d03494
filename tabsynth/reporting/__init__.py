"""What all reports share: charts, number formats and files."""
