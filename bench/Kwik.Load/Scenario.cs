namespace Kwik.Load;

/// <summary>Something that is done to servers again and again, and after which nothing may be left.</summary>
/// <param name="Name">On the command line.</param>
/// <param name="What">In one line.</param>
/// <param name="RunAsync">One round; throws when something is not as it must be.</param>
/// <param name="NeedsReplicas">Whether there have to be secondaries.</param>
internal sealed record Scenario(string Name, string What, Func<Rig, CancellationToken, Task<Figures>> RunAsync, bool NeedsReplicas = false);
