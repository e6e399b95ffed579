"""Papers: documents as PDF that finance files. Set by typst from data, never from texts put into markup."""
