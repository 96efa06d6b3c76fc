-- Nothing is written to Zadig until it is resumed.

obj.spec.suspend = true
return obj
