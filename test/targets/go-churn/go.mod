module scope.test/go-churn

go 1.22
