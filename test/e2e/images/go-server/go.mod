module goserver

go 1.25.0
