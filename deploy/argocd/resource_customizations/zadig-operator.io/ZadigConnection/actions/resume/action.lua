-- Ends a suspension.

obj.spec.suspend = false
return obj
