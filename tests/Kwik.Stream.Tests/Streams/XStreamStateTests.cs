namespace Kwik.Streams.Tests;

public sealed class XStreamStateTests
{
    // A row a state, a column an input; null: the input means nothing there.
    private static readonly Dictionary<XStreamState, XStreamState?[]> Table = new()
    {
        // LocalEnd, RemoteEnd, Fault
        [XStreamState.Open] = [XStreamState.LocalClosed, XStreamState.RemoteClosed, XStreamState.Error],
        [XStreamState.LocalClosed] = [null, XStreamState.FullyClosed, XStreamState.Error],
        [XStreamState.RemoteClosed] = [XStreamState.FullyClosed, null, XStreamState.Error],
        [XStreamState.FullyClosed] = [null, null, null],
        [XStreamState.Error] = [null, null, null],
    };

    [Fact]
    public void TryAdvance_EveryStateWithEveryInput_DoesWhatTheTableSays()
    {
        XStreamInput[] inputs = Enum.GetValues<XStreamInput>();
        foreach (XStreamState before in Enum.GetValues<XStreamState>())
        {
            Assert.Equal(inputs.Length, Table[before].Length);
            foreach (XStreamInput input in inputs)
            {
                XStreamState? expected = Table[before][(int)input];

                XStreamState state = before;
                bool changed = XStreamStates.TryAdvance(ref state, input);

                Assert.True((expected is not null) == changed, $"{before} with {input}");
                Assert.True((expected ?? before) == state, $"{before} with {input}");
            }

            Assert.Equal(Table[before].All(next => next is null), XStreamStates.IsFinal(before));
        }
    }
}
