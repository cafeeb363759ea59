using Microsoft.Extensions.Logging;

namespace Kwik.Architecture.Tests;

/// <summary>One log id, one name, in all of Kwik; the snapshots in PublicApi/ pin both.</summary>
public sealed class LogEventTests
{
    [Fact]
    public void Ids_OfAllAssemblies_AreUnique() => Violations.None(
        Repeated(Repository.Assemblies.Values.SelectMany(LogEvent.Of)), "These log messages share an id or a name, or have none:");

    [Fact]
    public void Messages_OfSessions_AreFound() =>
        Assert.Contains(new LogEvent(1, "PathActive", LogLevel.Debug), LogEvent.Of(Repository.Assemblies["Kwik.Session"]));

    [Fact]
    public void Message_WithAnIdOrNameThatIsTaken_IsReported()
    {
        LogEvent first = new(1, "Began", LogLevel.Debug), second = new(2, "Ended", LogLevel.Debug);

        Assert.Empty(Repeated([first, second]));
        Assert.Equal(["1 Began Debug", "1 Ended Debug"], Repeated([first, second with { Id = 1 }]));
        Assert.Equal(["1 Began Debug", "2 Began Debug"], Repeated([first, second with { Name = "Began" }]));
        Assert.Equal(["-1 Began Debug"], Repeated([first with { Id = -1 }, second]));
    }

    private static IEnumerable<string> Repeated(IEnumerable<LogEvent> events)
    {
        LogEvent[] all = [.. events];
        return all
            .Where(one => one.Id <= 0 || all.Count(other => other.Id == one.Id) > 1 || all.Count(other => other.Name == one.Name) > 1)
            .Select(one => one.ToString());
    }
}
