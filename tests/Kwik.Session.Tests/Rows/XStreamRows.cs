using Kwik.Data;
using Kwik.Streams;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Rows;

/// <summary>
/// What each call on a public stream does after each thing that may happen to it, one test a row, whatever carries it.
/// Derive from it, say how to join the two ends, and inherit the tests. The rows use plain awaits only.
/// </summary>
public abstract partial class XStreamRows
{
    /// <summary>Streams that each side may have open; the ends are to be joined with this limit.</summary>
    protected const int MaxStreams = 2;

    /// <summary>More bytes than the stream and what is below it hold while nobody reads.</summary>
    protected abstract int Capacity { get; }

    /// <summary>
    /// Runs the row on a stream that the client opened, and on one that the primary opened, each in a session of its own,
    /// bounded in time. Closes what the row has left.
    /// </summary>
    private protected abstract Task RunAsync(Func<StreamEnd, StreamEnd, Task> row);

    /// <summary>The same with the ends exchanged too, for rows that hold whichever side opened the stream.</summary>
    private async Task BothWaysAsync(Func<StreamEnd, StreamEnd, Task> row)
    {
        await RunAsync(row);
        await RunAsync((outbound, inbound) => row(inbound, outbound));
    }

    private Task BothWaysAsync(Func<KwikStream, KwikStream, Task> row) => BothWaysAsync((near, far) => row(near.Stream, far.Stream));

    private Task RunAsync(Func<KwikStream, KwikStream, Task> row) => RunAsync((outbound, inbound) => row(outbound.Stream, inbound.Stream));

    private static byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    private static void AssertEnded(KwikStream stream, XStreamState state)
    {
        Assert.Equal((state, true), (stream.State, stream.IsClosed));
        Assert.Equal(state == XStreamState.Error, stream.Closed.IsFaulted);
        Assert.True(stream.Closed.IsCompleted);
    }

    /// <summary>The peer no longer takes what is written, and this side knows.</summary>
    private static async Task PeersCloseAsync(KwikStream stream) =>
        Assert.NotEqual(KwikErrorSide.Local, (await FailureAsync<KwikException>(stream.WritesClosed)).Side);

    /// <summary>Leaves a write that the peer cannot take, and nobody waits for.</summary>
    private async Task FillAsync(KwikStream stream)
    {
        using var cancellation = new CancellationTokenSource();
        Task writing = stream.WriteAsync(new byte[Capacity], cancellation.Token).AsTask();
        Assert.False(writing.IsCompleted);
        cancellation.Cancel();
        await FailureAsync<TaskCanceledException>(writing);
    }
}
