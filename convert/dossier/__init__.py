"""The dossier of a model: everything known of it in one document, mapped to what auditors ask for."""
