"""The local web page on which a person makes a head: server, jobs in processes of their own, the project."""
