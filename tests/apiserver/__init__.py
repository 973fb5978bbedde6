"""A real kube-apiserver with its etcd, on loopback, for the tests marked ``apiserver``"""
