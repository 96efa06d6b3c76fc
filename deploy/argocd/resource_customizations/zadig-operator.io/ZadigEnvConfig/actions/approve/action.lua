-- Approves the plan that is shown. A plan that changed meanwhile has another hash, so this does not approve it.

if obj.status == nil or obj.status.plan == nil then
  error("there is no plan to approve")
end
obj.spec.approvedPlan = obj.status.plan.hash
return obj
