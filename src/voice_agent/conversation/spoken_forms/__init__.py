"""Numbers, dates, money and addresses between the way they are spoken and the way they are written."""
