using Kwik.Sessions;

namespace Kwik.Session.Tests.Paths;

public sealed class PathStateTests
{
    // A row a state, a column an input; null: the input means nothing there.
    private static readonly Dictionary<PathState, PathState?[]> Table = new()
    {
        // Connected, Silent, Heard, Lost, Retry, Remove
        [PathState.Connecting] = [PathState.Active, null, null, null, null, PathState.Removed],
        [PathState.Active] = [null, PathState.Degraded, null, PathState.Dead, null, PathState.Removed],
        [PathState.Degraded] = [null, null, PathState.Active, PathState.Dead, null, PathState.Removed],
        [PathState.Dead] = [null, null, null, null, PathState.Recovering, PathState.Removed],
        [PathState.Recovering] = [PathState.Active, null, null, PathState.Dead, null, PathState.Removed],
        [PathState.Removed] = [null, null, null, null, null, null],
    };

    [Fact]
    public void TryAdvance_EveryStateWithEveryInput_DoesWhatTheTableSays()
    {
        PathInput[] inputs = Enum.GetValues<PathInput>();
        foreach (PathState state in Enum.GetValues<PathState>())
        {
            Assert.Equal(inputs.Length, Table[state].Length);
            foreach (PathInput input in inputs)
            {
                PathState? expected = Table[state][(int)input];

                bool changed = PathStates.TryAdvance(state, input, out PathState next);

                Assert.True((expected is not null) == changed, $"{state} with {input}");
                Assert.True((expected ?? state) == next, $"{state} with {input}");
            }
        }
    }

    [Fact]
    public void States_ByWhatTheyAreGoodFor_AreInOneGroupAtMost()
    {
        Assert.Equal([PathState.Active, PathState.Degraded], Enum.GetValues<PathState>().Where(PathStates.Serves));
        Assert.Equal([PathState.Dead, PathState.Recovering], Enum.GetValues<PathState>().Where(PathStates.IsLost));
    }
}
