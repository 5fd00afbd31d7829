"""Entry point of the operator's command."""


def main() -> None:
    """Run `mrm`."""


if __name__ == "__main__":
    main()
