"""Values in text: numbers, money, dates, phones, e-mail addresses, patterns and lists."""
