-- Health of an object of zadig-operator.io, by its conditions.

local function condition(type)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, found in ipairs(obj.status.conditions) do
      if found.type == type then
        return found
      end
    end
  end
  return nil
end

local function health(status, why)
  return { status = status, message = why }
end

local function told(condition)
  return condition.reason .. ": " .. condition.message
end

-- Somebody's decision is waited for, and nothing is broken.
local resting = {
  AwaitingApproval = true,
  ConnectionSuspended = true,
  Expired = true,
  Sleeping = true,
  Suspended = true,
}

local ready = condition("Ready")
local stalled = condition("Stalled")

if obj.metadata.deletionTimestamp ~= nil then
  if stalled ~= nil then
    return health("Degraded", told(stalled))
  end
  return health("Progressing", "It is being deleted")
end
if obj.spec.suspend == true then
  return health("Suspended", "spec.suspend is true: nothing is written to Zadig")
end
if ready == nil then
  return health("Progressing", "The operator has not looked at it yet")
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The operator has not looked at the present spec yet")
end
if ready.status == "True" then
  return health("Healthy", told(ready))
end
if resting[ready.reason] then
  return health("Suspended", told(ready))
end
if condition("Reconciling") ~= nil then
  return health("Progressing", told(ready))
end
-- Stalled, or unhealthy for longer than a moment and nothing is under way.
return health("Degraded", told(ready))
