using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class SendTurnsTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void Turn_GivenBack_GoesToTheHighestPriorityFirstComeFirstServed()
    {
        SendTurns turns = Create();
        SendTurns.Ticket holder = turns.Join(MessagePriority.Normal, 1);
        SendTurns.Ticket[] waiting =
        [
            turns.Join(MessagePriority.High, 1), turns.Join(MessagePriority.High, 1), turns.Join(MessagePriority.Normal, 1),
            turns.Join(MessagePriority.Normal, 1), turns.Join(MessagePriority.Bulk, 1),
        ];
        foreach (SendTurns.Ticket next in waiting)
        {
            Assert.True(HasTurn(holder));
            Assert.False(HasTurn(next));
            turns.Leave(holder);
            holder = next;
        }

        Assert.True(HasTurn(holder));
    }

    [Fact]
    public void Yield_WithNobodyElse_GivesTheTurnBackAtOnce()
    {
        SendTurns turns = Create();
        SendTurns.Ticket ticket = turns.Join(MessagePriority.Bulk, 1);
        for (int i = 0; i < 100; i++)
        {
            Assert.True(HasTurn(ticket));
            turns.Yield(ticket, 1);
        }
    }

    [Fact]
    public void Yield_WithOthersOfItsPriority_KeepsItsPlace()
    {
        SendTurns turns = Create();
        SendTurns.Ticket first = turns.Join(MessagePriority.Normal, 1);
        SendTurns.Ticket second = turns.Join(MessagePriority.Normal, 1);
        turns.Yield(first, 1);
        Assert.Equal((true, false), (HasTurn(first), HasTurn(second)));
    }

    /// <summary>Whoever waits gets a turn, however many more urgent ones there are.</summary>
    [Fact]
    public void LowerPriorities_BehindMoreUrgentOnesWithoutEnd_GetOneTurnOf16()
    {
        SendTurns turns = Create();
        SendTurns.Ticket[] tickets =
            [turns.Join(MessagePriority.High, 1), turns.Join(MessagePriority.Normal, 1), turns.Join(MessagePriority.Bulk, 1)];
        var counts = new int[3];
        int[] waited = new int[3];
        for (int i = 0; i < 1800; i++)
        {
            SendTurns.Ticket holder = Assert.Single(tickets, HasTurn);
            for (int other = 0; other < 3; other++)
            {
                waited[other] = tickets[other] == holder ? 0 : waited[other] + 1;
                // 16, and a turn of the other low priority before and behind them.
                Assert.InRange(waited[other], 0, SendTurns.MaxPassedOver + 2);
            }

            counts[(int)holder.Priority]++;
            turns.Yield(holder, 1);
        }

        Assert.InRange(counts[0], 1550, 1650);
        Assert.InRange(counts[1], 95, 115);
        Assert.InRange(counts[2], 95, 115);
    }

    [Fact]
    public void Bytes_OverTheRate_WaitForTime()
    {
        SendTurns turns = Create(new() { BytesPerSecond = MessageFrame.ChunkSize / 2 });
        SendTurns.Ticket ticket = turns.Join(MessagePriority.Normal, MessageFrame.ChunkSize);
        Assert.True(HasTurn(ticket));
        turns.Yield(ticket, MessageFrame.ChunkSize);
        Assert.False(HasTurn(ticket));
        Elapse(1999);
        Assert.False(HasTurn(ticket));
        Elapse(1);
        Assert.True(HasTurn(ticket));

        // What is smaller comes sooner, and what is more urgent first.
        turns.Yield(ticket, MessageFrame.ChunkSize);
        SendTurns.Ticket urgent = turns.Join(MessagePriority.High, MessageFrame.ChunkSize / 8);
        Elapse(250);
        Assert.Equal((false, true), (HasTurn(ticket), HasTurn(urgent)));
    }

    [Fact]
    public void Messages_OverTheRate_DoNotHoldUpTheChunksOfWhatHasBegun()
    {
        SendTurns turns = Create(new() { MessagesPerSecond = 1 });
        SendTurns.Ticket ticket = turns.Join(MessagePriority.Normal, 1);
        turns.Yield(ticket, 1);
        Assert.True(HasTurn(ticket));
        SendTurns.Ticket next = turns.Join(MessagePriority.Normal, 1);
        turns.Leave(ticket);
        Assert.False(HasTurn(next));
        Elapse(1000);
        Assert.True(HasTurn(next));
    }

    [Fact]
    public async Task CloseAsync_WithSomebodyInLine_EndsWhenAllHaveLeft()
    {
        SendTurns turns = Create();
        SendTurns.Ticket first = turns.Join(MessagePriority.Normal, 1);
        SendTurns.Ticket second = turns.Join(MessagePriority.Bulk, 1);
        Task closing = turns.CloseAsync(CancellationToken.None);
        Assert.Throws<InvalidOperationException>(() => turns.Join(MessagePriority.Normal, 1));
        turns.Leave(first);
        Assert.False(closing.IsCompleted);
        turns.Leave(second);
        await closing.WithinAsync();
        await turns.CloseAsync(CancellationToken.None).WithinAsync();
    }

    [Fact]
    public void Turns_OfRandomMessages_AreThoseOfANaiveModel() =>
        Property.HoldsForLists(FsCheck.Fluent.Gen.Choose(0, 99), 200, RunAgainstModel, count: 500);

    private static bool HasTurn(SendTurns.Ticket ticket) => ticket.Turn.Task.IsCompleted;

    private void RunAgainstModel(List<int> steps)
    {
        SendTurns turns = Create();
        List<SendTurns.Ticket>[] model = [[], [], []];
        int[] passedOver = [0, 0, 0];
        SendTurns.Ticket? holder = null;
        foreach (int step in steps)
        {
            SendTurns.Ticket[] waiting = [.. model.SelectMany(queue => queue).Where(ticket => ticket != holder)];
            switch (step % 10)
            {
                case < 4:
                    var priority = (MessagePriority)(step / 10 % 3);
                    model[(int)priority].Add(turns.Join(priority, 1));
                    break;
                case < 7 when holder is not null:
                    turns.Yield(holder, 1);
                    holder = null;
                    break;
                case < 9 when holder is not null:
                    turns.Leave(holder);
                    model[(int)holder.Priority].Remove(holder);
                    holder = null;
                    break;
                case 9 when waiting.Length > 0:
                    SendTurns.Ticket left = waiting[step / 10 % waiting.Length];
                    turns.Leave(left);
                    model[(int)left.Priority].Remove(left);
                    break;
                default:
                    break;
            }

            if (holder is null && model.Any(queue => queue.Count > 0))
            {
                int[] waits = [.. Enumerable.Range(0, 3).Where(i => model[i].Count > 0)];
                int[] due = [.. waits.Where(i => passedOver[i] >= 16)];
                int next = due.Length > 0 ? due.Max() : waits.Min();
                foreach (int lower in waits.Where(i => i > next))
                {
                    passedOver[lower]++;
                }

                passedOver[next] = 0;
                holder = model[next][0];
            }

            Assert.Equal(holder is null ? [] : [holder], model.SelectMany(queue => queue).Where(HasTurn));
        }
    }

    private void Elapse(int milliseconds)
    {
        _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
        _time.Elapse();
    }

    private SendTurns Create(MessageRate? rate = null) => new(_time, rate ?? new(), session: null);
}
