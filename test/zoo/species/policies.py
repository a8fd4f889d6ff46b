def settle(zoo):
    pass
