namespace Kwik.Streams.Tests;

public sealed class SecondaryStreamStateTests
{
    // A row a state, a column an input; null: the input means nothing there.
    private static readonly Dictionary<SecondaryStreamState, SecondaryStreamState?[]> Table = new()
    {
        // Opened, Ended, Finished, Failed
        [SecondaryStreamState.Opening] = [SecondaryStreamState.Active, null, null, SecondaryStreamState.Error],
        [SecondaryStreamState.Active] = [null, SecondaryStreamState.Closing, null, SecondaryStreamState.Error],
        [SecondaryStreamState.Closing] = [null, null, SecondaryStreamState.Closed, SecondaryStreamState.Error],
        [SecondaryStreamState.Closed] = [null, null, null, null],
        [SecondaryStreamState.Error] = [null, null, null, null],
    };

    [Fact]
    public void TryAdvance_EveryStateWithEveryInput_DoesWhatTheTableSays()
    {
        SecondaryStreamInput[] inputs = Enum.GetValues<SecondaryStreamInput>();
        foreach (SecondaryStreamState before in Enum.GetValues<SecondaryStreamState>())
        {
            Assert.Equal(inputs.Length, Table[before].Length);
            foreach (SecondaryStreamInput input in inputs)
            {
                SecondaryStreamState? expected = Table[before][(int)input];

                SecondaryStreamState state = before;
                bool changed = SecondaryStreamStates.TryAdvance(ref state, input);

                Assert.True((expected is not null) == changed, $"{before} with {input}");
                Assert.True((expected ?? before) == state, $"{before} with {input}");
            }
        }
    }
}
