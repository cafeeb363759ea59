using System.CommandLine;
using System.Globalization;
using System.Net.Sockets;
using Kwik.Cli.Output;
using Kwik.Sessions;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik doctor</c>: says what Kwik runs on, and what to change.</summary>
internal static class DoctorCommand
{
    // 16 ms at 2 Gbit/s: what arrives while a busy machine lets a process wait.
    private const long GoodBuffer = 4 * 1024 * 1024;

    // linux/udp.h; .NET has no names for them.
    private const int UdpLevel = 17;
    private const int UdpSegment = 103;
    private const int UdpGro = 104;

    private static readonly Option<bool> Json = CommonOptions.Json("the findings");

    public static Command Create()
    {
        var command = new Command("doctor", "Say which QUIC library is in use, and what to change on this machine.") { Json };
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        LibraryJson library = LibraryJson.From(QuicProvider.EnsureLoaded());
        var udp = new UdpJson(
            ReadLimit("rmem_max"),
            ReadLimit("rmem_default"),
            ReadLimit("wmem_max"),
            ReadLimit("wmem_default"),
            Accepts(UdpSegment, 1200),
            Accepts(UdpGro, 1));
        var report = new DoctorJson(library, udp, [.. Advise(udp)]);
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.DoctorJson);
        }
        else
        {
            Print(report);
        }

        return (int)ExitCode.Ok;
    }

    private static IEnumerable<string> Advise(UdpJson udp)
    {
        if (udp.RmemMax < GoodBuffer)
        {
            yield return $"net.core.rmem_max is {udp.RmemMax}; fast transfers lose fewer datagrams with: "
                + $"sysctl -w net.core.rmem_max={GoodBuffer}";
        }

        if (udp.WmemMax < GoodBuffer)
        {
            yield return $"net.core.wmem_max is {udp.WmemMax}; fast servers wait less with: "
                + $"sysctl -w net.core.wmem_max={GoodBuffer}";
        }

        if (udp.Gso == false)
        {
            yield return "The kernel does not send datagrams in batches (UDP_SEGMENT, Linux 4.18); sending costs more processor time.";
        }

        if (udp.Gro == false)
        {
            yield return "The kernel does not receive datagrams in batches (UDP_GRO, Linux 5.0); receiving costs more processor time.";
        }
    }

    private static void Print(DoctorJson report)
    {
        Console.Out.WriteLine($"QUIC library   {report.Library.Path ?? "of the system"}");
        Console.Out.WriteLine($"  version      {report.Library.Version ?? "unknown"} {report.Library.Name}".TrimEnd());
        Console.Out.WriteLine($"  because      {report.Library.Why}");
        Console.Out.WriteLine($"UDP receive    at most {Text(report.Udp.RmemMax)} bytes, {Text(report.Udp.RmemDefault)} unless asked for");
        Console.Out.WriteLine($"UDP send       at most {Text(report.Udp.WmemMax)} bytes, {Text(report.Udp.WmemDefault)} unless asked for");
        Console.Out.WriteLine($"batches        sending (GSO) {Text(report.Udp.Gso)}, receiving (GRO) {Text(report.Udp.Gro)}");
        Console.Out.WriteLine(report.Advice.Count == 0 ? "nothing to change" : "to change:");
        report.Advice.ForEach(advice => Console.Out.WriteLine($"  {advice}"));
    }

    private static string Text(long? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "unknown";

    private static string Text(bool? value) => value switch { true => "yes", false => "no", null => "unknown" };

    private static long? ReadLimit(string name)
    {
        string path = $"/proc/sys/net/core/{name}";
        return File.Exists(path) ? long.Parse(File.ReadAllText(path), CultureInfo.InvariantCulture) : null;
    }

    private static bool? Accepts(int option, int value)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.SetRawSocketOption(UdpLevel, option, BitConverter.GetBytes(value));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
