using Kwik.Data;
using Kwik.Streams;
using Ending = Kwik.Session.Tests.Simulated.RandomEnd.Ending;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Both ends of a stream, and what has to be true of them together.</summary>
internal sealed class RandomEnds
{
    // What a write that was cancelled has handed over: frames of this size.
    private const int FrameSize = 64 * 1024;

    public RandomEnd? Opener { get; set; }

    public RandomEnd? Acceptor { get; set; }

    public IEnumerable<RandomEnd> All => new[] { Opener, Acceptor }.OfType<RandomEnd>();

    private IEnumerable<(RandomEnd End, RandomEnd Peer)> BothWays =>
        Opener is not null && Acceptor is not null ? [(Opener, Acceptor), (Acceptor, Opener)] : [];

    /// <summary>The ends whose reading and hearing have to end by themselves, because of what the other end did.</summary>
    public IEnumerable<RandomEnd> Concerned(bool isAlive) => isAlive
        ? BothWays.Where(pair => pair.Peer.Completed || pair.Peer.Ended != Ending.None || pair.End.Ended != Ending.None).Select(pair => pair.End)
        : All;

    /// <summary>The ends that have to have heard all.</summary>
    public IEnumerable<RandomEnd> Told(bool isAlive) => isAlive
        ? BothWays.Where(pair => !pair.End.IsInbound && (pair.Peer.Ended != Ending.None || pair.End.Ended == Ending.Closed)).Select(pair => pair.End)
        : All;

    /// <summary>What holds as soon as everything that is on its way has arrived, on a connection that lives.</summary>
    public async Task CheckSettledAsync()
    {
        foreach ((RandomEnd end, RandomEnd peer) in BothWays)
        {
            if (end.Ended != Ending.None || end.FaultRefused || peer.FaultRefused)
            {
                continue;
            }

            // An end that is undisturbed itself.
            CheckState(end, peer);
            CheckReading(end, peer);
            CheckHearing(end, peer);
            Assert.All(end.WriteFaults, e => Assert.True(IsOfThePeer(e, peer), $"{e}"));
            if (peer.Ended != Ending.None && !end.Completed)
            {
                for (int i = 0; i < 2; i++)
                {
                    XStreamException e = await Assert.ThrowsAnyAsync<XStreamException>(() => end.Stream.WriteAsync(new byte[1]).AsTask());
                    Assert.True(IsOfThePeer(e, peer), $"{e}");
                    e = await Assert.ThrowsAnyAsync<XStreamException>(() => end.Stream.FlushAsync());
                    Assert.True(IsOfThePeer(e, peer), $"{e}");
                    e = Assert.ThrowsAny<XStreamException>(end.Stream.CompleteWrites);
                    Assert.True(IsOfThePeer(e, peer), $"{e}");
                }
            }
        }
    }

    /// <summary>What holds whenever everything is over, whatever happened.</summary>
    public void CheckEnd()
    {
        foreach (RandomEnd end in All)
        {
            Assert.True(end.Stream.IsClosed, $"{end.Stream.State}");
            Assert.True(end.Stream.Closed.IsCompleted);
            Assert.Equal(end.Stream.State == XStreamState.Error, end.Stream.Closed.IsFaulted);
            Assert.False(end.Stream.CanRead);
            Assert.False(end.Stream.CanWrite);
        }

        foreach ((RandomEnd end, RandomEnd peer) in BothWays)
        {
            Assert.Equal(end.Stream.Id, peer.Stream.Id);
            Assert.Equal(end.Stream.XStreamId, peer.Stream.XStreamId);
            Assert.True(IsWhatWasWritten(end.Received.ToArray(), peer.Written, whole: end.ReadEnd), "other bytes were read than written");
            Assert.True(!end.ReadEnd || peer.Completed, "read to an end that nobody made");
            if (!end.IsInbound)
            {
                CheckHeard(end, peer);
            }
        }
    }

    private static void CheckState(RandomEnd end, RandomEnd peer)
    {
        XStreamState state = end.Stream.State;
        switch (peer.Ended)
        {
            case Ending.None:
                Assert.Equal(
                    (end.Completed, peer.Completed) switch
                    {
                        (false, false) => XStreamState.Open,
                        (true, false) => XStreamState.LocalClosed,
                        (false, true) => XStreamState.RemoteClosed,
                        _ => XStreamState.FullyClosed,
                    },
                    state);
                break;
            case Ending.Closed when peer.CloseTook < TimeSpan.FromSeconds(5) && !peer.EndedUnderAWrite:
                Assert.Equal(end.Completed ? XStreamState.FullyClosed : XStreamState.RemoteClosed, state);
                break;
            case Ending.Aborted or Ending.Faulted:
                // Both had ended their writing before: nothing was left to fail.
                bool wasClosed = end.Completed && peer.Completed && state == XStreamState.FullyClosed;
                Assert.True(wasClosed || state == XStreamState.Error, $"{state} after {peer.Ended}");
                break;
        }

        Assert.Equal(XStreamStates.IsFinal(state), end.Stream.Closed.IsCompleted);
        Assert.Equal(state == XStreamState.Error, end.Stream.Closed.IsFaulted);
    }

    private static void CheckReading(RandomEnd end, RandomEnd peer)
    {
        switch (peer.Ended)
        {
            case Ending.None when !peer.Completed:
                Assert.False(end.Reading.IsCompleted);
                break;
            case Ending.None:
            case Ending.Closed when peer.CloseTook < TimeSpan.FromSeconds(5) && !peer.EndedUnderAWrite:
                Assert.True(end.ReadEnd, $"{end.ReadFault}");
                break;
            case Ending.Aborted when !end.ReadEnd:
                var e = Assert.IsType<XStreamException>(end.ReadFault);
                Assert.Equal((peer.AbortCode, KwikErrorSide.Remote, end.Stream.Id), (e.Code, e.Side, e.StreamId));
                break;
            case Ending.Faulted when !end.ReadEnd:
                XStreamError fault = Assert.IsType<XStreamFaultException>(end.ReadFault).Fault;
                (string message, ulong code, _, _) = peer.Said.Single(said => said.IsFault);
                Assert.Equal((message, code, true), (fault.Message, fault.Code, fault.IsFault));
                break;
            case Ending.Faulted or Ending.Aborted:
                // Only when that had been said before.
                Assert.True(peer.Completed);
                break;
        }
    }

    private static void CheckHearing(RandomEnd end, RandomEnd peer)
    {
        if (end.IsInbound)
        {
            return;
        }

        var said = peer.Said.Where(said => said.Done).ToList();
        if (end.Hearing.IsCompleted || peer.Ended == Ending.None)
        {
            // What is kept for who does not listen is more than that.
            Assert.True(peer.Said.Count > 64 || said.All(said => end.Heard.Exists(heard => heard.Message == said.Message)), "a notification is missing");
        }

        switch (peer.Ended)
        {
            case Ending.None:
                Assert.False(end.Hearing.IsCompleted);
                break;
            case Ending.Closed:
                Assert.True(end.HeardEnd, $"{end.HearFault}");
                break;
            case Ending.Faulted:
                Assert.True(end.HeardEnd, $"{end.HearFault}");
                Assert.True(end.Heard[^1].IsFault);
                break;
        }
    }

    private static void CheckHeard(RandomEnd end, RandomEnd peer)
    {
        long last = 0;
        for (int i = 0; i < end.Heard.Count; i++)
        {
            XStreamError heard = end.Heard[i];
            Assert.True(heard.Sequence > last, "out of order");
            Assert.True(heard.Sequence == last + 1 || peer.Said.Count >= heard.Sequence + 63, "a gap that nothing explains");
            last = heard.Sequence;
            (string message, ulong code, bool isFault, _) = Assert.Single(peer.Said, said => said.Message == heard.Message);
            Assert.Equal((code, isFault), (heard.Code, heard.IsFault));
            Assert.True(!isFault || i == end.Heard.Count - 1, "something came behind the fault");
        }

        List<int> order = [.. end.Heard.Where(heard => !heard.IsFault).Select(heard => peer.Said.FindIndex(said => said.Message == heard.Message))];
        Assert.Equal(order.Order(), order);
        Assert.True(!end.HeardEnd || peer.Ended != Ending.None || peer.FaultRefused, "an end that nobody made");
    }

    private static bool IsOfThePeer(XStreamException e, RandomEnd peer) =>
        e.Kind == XStreamErrorKind.BrokenPipe || (e.Kind == XStreamErrorKind.ConnectionReset && peer.Ended == Ending.Aborted);

    /// <summary>Follows every way in which the cancelled writes may have been cut.</summary>
    private static bool IsWhatWasWritten(
        ReadOnlySpan<byte> received, List<(byte[] Bytes, RandomEnd.WriteOutcome Outcome)> written, bool whole)
    {
        var positions = new HashSet<int> { 0 };
        foreach ((byte[] bytes, RandomEnd.WriteOutcome outcome) in written)
        {
            var next = new HashSet<int>();
            foreach (int position in positions)
            {
                ReadOnlySpan<byte> rest = received[position..];
                int common = rest.CommonPrefixLength(bytes);
                if (common == rest.Length && !whole)
                {
                    return true;
                }

                for (int length = 0; length < bytes.Length && outcome != RandomEnd.WriteOutcome.Done; length += FrameSize)
                {
                    _ = common >= length && next.Add(position + length);
                }

                _ = common == bytes.Length && outcome != RandomEnd.WriteOutcome.Failed && next.Add(position + common);
            }

            positions = next;
        }

        return positions.Contains(received.Length);
    }
}
