-- Actions that are offered for an object of zadig-operator.io.

local actions = {}
local suspended = obj.spec.suspend == true

actions["reconcile"] = { displayName = "Reconcile now", iconClass = "fa fa-fw fa-sync", disabled = suspended }
actions["suspend"] = { displayName = "Suspend", iconClass = "fa fa-fw fa-pause", disabled = suspended }
actions["resume"] = { displayName = "Resume", iconClass = "fa fa-fw fa-play", disabled = not suspended }

-- With management Observe a plan is shown too, but nobody may approve it.
if obj.status ~= nil and obj.status.plan ~= nil then
  local waits = false
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" and condition.reason == "AwaitingApproval" then
      waits = obj.status.plan.hash ~= obj.spec.approvedPlan
    end
  end
  actions["approve"] = { displayName = "Approve the plan", iconClass = "fa fa-fw fa-check", disabled = not waits }
end

return actions
