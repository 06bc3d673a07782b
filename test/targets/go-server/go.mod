module scope.test/go-server

go 1.22
